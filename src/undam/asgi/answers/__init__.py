"""Stored answers that requests can start, read, resume, stop and list."""

from undam.asgi.answers.answer import ANSWER_KEY, Answer
from undam.asgi.answers.answers import Answers, AnswerStatus

__all__ = ["ANSWER_KEY", "Answer", "AnswerStatus", "Answers"]
