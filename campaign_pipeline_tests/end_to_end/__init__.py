"""Tests of the whole: real processes in a folder of their own, and a Cloud API that counts whom they reach."""
