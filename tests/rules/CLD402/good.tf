resource "google_compute_backend_service" "vllm" {
  name        = "vllm-backend"
  protocol    = "HTTP"
  timeout_sec = 86400
}

resource "google_cloud_run_v2_service" "litellm" {
  name     = "litellm"
  location = "europe-west4"
  template {
    timeout = "3600s"
  }
}
