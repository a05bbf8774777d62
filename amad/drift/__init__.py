"""Does the fleet still look as it did when its champion was trained, or is it time to retrain?"""
