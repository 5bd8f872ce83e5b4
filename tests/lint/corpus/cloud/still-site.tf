resource "aws_cloudfront_distribution" "site" {
  enabled = true
  origin {
    domain_name = aws_s3_bucket.site.bucket_regional_domain_name
    origin_id   = "s3"
    s3_origin_config {
      origin_access_identity = ""
    }
  }
}

resource "aws_lb" "shop" {
  name         = "shop"
  idle_timeout = 60
}

resource "aws_lb" "tcp" {
  name               = "vllm"
  load_balancer_type = "network"
}

resource "google_compute_region_backend_service" "redis" {
  name     = "vllm-internal"
  protocol = "TCP"
}
