"""The training recipes: head, finetune and scratch."""
