"""The outside parties, a folder each; every foreign error is mapped to one of ours."""
