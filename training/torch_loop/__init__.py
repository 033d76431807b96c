"""The PyTorch training loop, shared by the recipes finetune and scratch."""
