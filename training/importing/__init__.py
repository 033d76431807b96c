"""`hubel import`: anybody's ONNX image classifier -> a bundle.

    label_file   labels, in the forms that they come in
    source       the file: its input, output, layout, size and kind, each derived or asked for
    batch        a graph for one picture at a time -> for any number
    heads        a pooled linear head, where there is one
    wrap         pixels -> normalisation -> the graph -> temperature -> softmax
    data         labelled photos -> pixels and the true classes
    quantizing   int8, behind the gates that all bundles have
    card         the model card
    importer     all of it, from top to bottom

What can't be derived is asked for, never guessed.
"""
