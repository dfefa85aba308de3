"""The bus over RabbitMQ. The only package that knows aio-pika."""

from common.rabbit.bus import RabbitBus
from common.rabbit.calls import Bounds

__all__ = ["Bounds", "RabbitBus"]
