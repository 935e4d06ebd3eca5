"""The Cloud API: requests, answers, error classes, and a local simulator that stands in for Meta.

Add here what Meta defines. This room knows no table and no campaign.
Keep out what an answer means for a recipient or a batch: `sending.outcomes`.
"""
