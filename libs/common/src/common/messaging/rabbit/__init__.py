"""The bus over RabbitMQ. The only package that knows aio-pika."""

from common.messaging.rabbit.bus import RabbitBus
from common.messaging.rabbit.calls import BrokerTimeouts

__all__ = ["BrokerTimeouts", "RabbitBus"]
