"""`hubel import`: turn an ONNX image classifier into a bundle.

    labels            the labels, in the formats that they come in
    file_kind         other files that people name, each with a sentence
    source            input, output, layout, size and kind, each from the file or an option
    image_input       its one image input: layout, size and type
    output_kind       its output: logits or probabilities
    batch_size        a graph for one image at a time -> for any number
    wrap              pixels -> normalisation -> the graph -> temperature -> softmax; a pooled
                      linear head, where runtime.inspection.onnx_head finds one, is written again
    verification      the wrapped graph, compared with the file
    labelled_photos   labelled photos -> pixels and the true classes
    int8_graph        the int8 graph, with the gate of every bundle
    exported          figures, golden photos and report of the wrapped graph
    importer          all of it, from top to bottom

The normalisation must be stated. Crop, filter and channel order have defaults.
"""
