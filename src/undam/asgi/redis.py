"""Public module for `RedisReplay`; requires the extra ``redis``."""

from undam.asgi.replay.redis import RedisReplay

__all__ = ["RedisReplay"]
