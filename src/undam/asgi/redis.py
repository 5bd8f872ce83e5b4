"""Public module of `RedisReplay`. It needs the extra ``redis``."""

from undam.asgi.replay.redis import RedisReplay

__all__ = ["RedisReplay"]
