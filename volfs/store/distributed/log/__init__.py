"""A log: lines with numbers from 0 on, without gaps, and none is ever written twice."""
