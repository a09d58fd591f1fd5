"""From looks at a random sample to a figure with an interval: design, drawing, and design-based estimates."""
