"""The self-contained ONNX graphs of a bundle, built from trained networks.

builder            the parts that all graphs share: pixels -> planes, embedding -> probabilities
efficientnet_lite  EfficientNet-Lite in PyTorch -> its graph
small              a small network in PyTorch -> its graph
head               a graph and a new head -> the graph of a new model
"""
