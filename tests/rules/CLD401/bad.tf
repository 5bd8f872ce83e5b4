# The load balancer of the chat service.
resource "aws_lb" "chat" {
  name               = "litellm-chat"
  load_balancer_type = "application"
  idle_timeout       = 20 # seconds
}
