"""Makes the variants of an image, and the record of them. Scale it by adding replicas."""
