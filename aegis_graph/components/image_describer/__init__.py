"""What is in images, or written in them."""

from aegis_graph.components.image_describer.graph import (
    create_image_describer as create_image_describer,
)
from aegis_graph.components.image_describer.graph import describe_image as describe_image
