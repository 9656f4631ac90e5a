"""What the monitor sees a cluster with: nodes and a proxy asked over HTTP."""
