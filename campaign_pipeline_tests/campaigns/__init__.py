"""Tests of campaigns: their life, their queue, their plan and their figures."""
