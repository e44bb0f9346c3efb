"""What the page of costs and latency is made of: the window and filters of its URL, its figures, and the calls behind them."""
