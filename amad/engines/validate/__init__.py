"""The validate stage: Great Expectations judges the profile of a fleet."""
