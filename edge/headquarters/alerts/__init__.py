"""What headquarters tells by itself: alerts by webhook and mail, and the weekly mail with the first page."""
