# The edge: CloudFront in front of an application load balancer.
resource "aws_lb" "edge" {
  name               = "open-webui-edge"
  load_balancer_type = "application"
  idle_timeout       = 120
}

resource "aws_cloudfront_distribution" "chat" {
  comment = "open-webui"
  enabled = true
  origin {
    domain_name = aws_lb.edge.dns_name
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
