"""Makes images public: moves originals and thumbnails to *active*, and settles what the buckets owe."""
