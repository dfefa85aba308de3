"""The imaging itself: pure steps from pixels to pixels, run in the decoding processes. No storage, no events."""
