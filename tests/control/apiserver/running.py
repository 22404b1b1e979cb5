"""Runs a coroutine that never waits for anything real."""

import asyncio


def run(coroutine):
    return asyncio.run(coroutine)
