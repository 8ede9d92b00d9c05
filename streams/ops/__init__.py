"""What operators look at: health, metrics, status; on Faust's web server in a worker, on a plain one in other roles."""
