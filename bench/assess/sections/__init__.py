"""The sections of the assessment, each as a document."""
