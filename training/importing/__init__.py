"""`hubel import`: turn an ONNX image classifier into a bundle.

    label_file        the labels, in the formats that they come in
    source            the file: its input, output, layout, size and kind, each derived or asked for
    batch_size        a graph for one image at a time -> for any number
    pooled_head       the pooled linear head, where there is one
    wrap              pixels -> normalisation -> the graph -> temperature -> softmax
    fitting           the wrapped graph, compared with the file
    labelled_photos   labelled photos -> pixels and the true classes
    int8_graph        int8, by the gates of every bundle
    exported          figures, golden photos and report of the wrapped graph
    importer          all of it, from top to bottom

What can't be derived is asked for, never guessed.
"""
