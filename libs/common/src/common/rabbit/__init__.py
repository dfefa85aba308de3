"""The bus over RabbitMQ. The only package that knows aio-pika."""

from common.rabbit.bus import RabbitBus

__all__ = ["RabbitBus"]
