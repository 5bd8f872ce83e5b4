"""intermediaries"""
