"""Images that people bring to the embedded Fargate: `fargate local image import`."""
