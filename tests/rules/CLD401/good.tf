resource "aws_lb" "chat" {
  name         = "litellm-chat"
  idle_timeout = 4000
}

resource "aws_lb" "tcp" {
  name               = "vllm-tcp"
  load_balancer_type = "network"
}
