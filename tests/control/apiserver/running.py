"""Runs a coroutine to its end."""

import asyncio


def run(coroutine):
    return asyncio.run(coroutine)
