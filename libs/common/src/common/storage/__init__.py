"""The two buckets, as folders or on S3, and what is stored of each image."""
