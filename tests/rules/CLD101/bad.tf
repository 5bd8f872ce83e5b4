resource "aws_lambda_function_url" "chat" {
  function_name      = "openai-chat"
  authorization_type = "NONE"
}
