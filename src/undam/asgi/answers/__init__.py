"""Answers as objects: one key per answer, to start, read, resume, stop and list them."""

from undam.asgi.answers.answer import ANSWER_KEY, Answer
from undam.asgi.answers.answers import Answers, AnswerStatus

__all__ = ["ANSWER_KEY", "Answer", "AnswerStatus", "Answers"]
