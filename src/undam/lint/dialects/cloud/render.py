"""Renderer of an AWS load balancer in Terraform with a long idle timeout."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest, require_literal_values

_MAX_IDLE_S = 4000


def render(request: RenderRequest) -> str:
    """Return Terraform code for a load balancer, and for a listener rule that forwards the path.

    The targets are registered elsewhere; a comment names the upstream.
    """
    require_literal_values(request, "a Terraform file")
    idle = max(1, min(_MAX_IDLE_S, int(request.idle_s)))
    return f"""\
# An AWS load balancer in front of {request.upstream}.
variable "subnets" {{ type = list(string) }}
variable "vpc_id" {{ type = string }}

resource "aws_lb" "streaming" {{
  load_balancer_type = "application"
  subnets            = var.subnets
  # A stream that is silent for longer is cut; 4000 is the maximum.
  idle_timeout = {idle}
}}

resource "aws_lb_target_group" "model" {{
  port     = 80
  protocol = "HTTP"
  vpc_id   = var.vpc_id
}}

resource "aws_lb_listener" "http" {{
  load_balancer_arn = aws_lb.streaming.arn
  port              = {request.listen.rpartition(":")[2]}
  default_action {{
    type             = "forward"
    target_group_arn = aws_lb_target_group.model.arn
  }}
}}
"""
