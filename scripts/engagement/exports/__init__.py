"""Exports: tables and segments of the published file as files, in a folder, at S3, in Azure Blob Storage or over SFTP.

published file ─► parts and manifest in a working folder ─► the folder in its place, or uploaded, the manifest last
"""
