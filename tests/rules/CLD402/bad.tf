resource "google_compute_backend_service" "vllm" {
  name        = "vllm-backend"
  protocol    = "HTTP"
  timeout_sec = 30
}
