"""The bus over RabbitMQ. The only package that knows aio-pika."""

from common.messaging.rabbit.bus import RabbitBus
from common.messaging.rabbit.calls import Bounds

__all__ = ["Bounds", "RabbitBus"]
