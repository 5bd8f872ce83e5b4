resource "aws_lambda_function_url" "chat" {
  invoke_mode = "RESPONSE_STREAM"
  function_name      = "openai-chat"
  authorization_type = "NONE"
}
