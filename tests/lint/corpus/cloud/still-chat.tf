# Streams, with limits that suffice and heartbeats from the server.
resource "aws_lb" "chat" {
  name         = "open-webui"
  idle_timeout = 3600
}

resource "aws_cloudfront_distribution" "edge" {
  comment = "open-webui"
  origin {
    domain_name                 = aws_lb.chat.dns_name
    origin_id                   = "alb"
    response_completion_timeout = var.completion_timeout
    custom_origin_config {
      origin_read_timeout = 120
    }
  }
}

resource "aws_lambda_function_url" "openai_chat" {
  function_name = "openai-chat"
  invoke_mode   = local.mode
}

resource "azurerm_application_gateway" "ollama" {
  name = "ollama"
  global {
    request_buffering_enabled  = true
    response_buffering_enabled = false
  }
  backend_http_settings {
    request_timeout = 600
  }
}

resource "azurerm_cdn_frontdoor_profile" "ollama" {
  name                     = "ollama"
  response_timeout_seconds = 240
}
