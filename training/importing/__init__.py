"""`hubel import`: turn an ONNX image classifier into a bundle.

    importer            all of it, from top to bottom
    classifier_file     all that is known about the file before its graph is changed:
      onnx_file           its model, if ONNX Runtime can read it
      file_kind           other files that people name, each with a sentence
      labels              the labels, in the formats that they come in
      source              input and output, each from the file or an option:
        image_input         layout, channels, type, size, batch
        class_output        the tensor that holds the classes
      presets             how pixels are cut out and normalised
      preparation         from the bundle's pixels to what the file reads
      original            the file itself, run on photos
      output_kind         what its output means: logits, probabilities, one number
      normalization_check warnings of a normalisation that can't be right
    verification        the wrapped graph, compared with the file:
      batch_size          a graph for one image at a time -> for any number
      one_at_a_time       the same for graphs in which pictures change each other
      wrap                pixels -> input_nodes -> the graph -> temperature -> softmax; a pooled
                          linear head, where onnx_head finds one, is written again
    reference_file      what a script of the user's gives for photos
    script_parity       the bundle, compared with it
    labelled_photos     labelled photos -> pixels and the true classes
    int8_graph          the int8 graph, with the gate of every bundle
    exported            figures, golden photos and report of the wrapped graph

The normalisation must be stated, by its numbers or by a preset.
"""
