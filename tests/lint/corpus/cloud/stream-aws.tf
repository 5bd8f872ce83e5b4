# CloudFront and a load balancer in front of a chat service on ECS.
resource "aws_lb" "chat" {
  name               = "chat-${var.environment}"
  load_balancer_type = "application"
  subnets            = var.public_subnets
  idle_timeout       = 60

  tags = {
    Name = "open-webui"
  }
}

resource "aws_lb_target_group" "webui" {
  name     = "open-webui"
  port     = 8080
  protocol = "HTTP"
  vpc_id   = var.vpc_id
}

resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.chat.arn
  port              = 443
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.webui.arn
  }
}

resource "aws_lb_listener_rule" "api" {
  listener_arn = aws_lb_listener.https.arn
  condition {
    path_pattern {
      values = ["/v1/chat/*"]
    }
  }
}

resource "aws_cloudfront_distribution" "edge" {
  enabled = true
  aliases = ["chat.example.org"]
  comment = "open-webui"
  origin {
    domain_name = aws_lb.chat.dns_name
    origin_id   = "alb"
    custom_origin_config {
      http_port              = 80
      https_port             = 443
      origin_protocol_policy = "https-only"
      origin_ssl_protocols   = ["TLSv1.2"]
      origin_read_timeout    = 60
    }
  }
}
