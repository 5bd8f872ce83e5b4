resource "aws_lambda_function_url" "chat" {
  function_name      = "openai-chat"
  authorization_type = "NONE"
  invoke_mode        = "RESPONSE_STREAM"
}

resource "aws_api_gateway_integration" "llm" {
  rest_api_id             = "llm"
  resource_id             = "chat"
  http_method             = "POST"
  type                    = "HTTP_PROXY"
  integration_http_method = "POST"
  uri                     = "https://llm.example.com/v1/chat/completions"
  response_transfer_mode  = "STREAM"
  timeout_milliseconds    = 900000
}
