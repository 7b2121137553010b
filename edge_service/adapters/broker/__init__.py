"""The MQTT connection, kept up for ever by one thread of its own; see :class:`MqttBroker`."""

from edge_service.adapters.broker.connection import MqttBroker
from edge_service.adapters.broker.endings import Ending

__all__ = ["Ending", "MqttBroker"]
