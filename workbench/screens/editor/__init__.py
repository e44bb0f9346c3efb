"""The prompt editor, in the order of its work.

draft     what is being edited, as texts that may still be wrong; pure
desk      the draft of this session and of the store, and widgets that change it
template  the template as a whole, or turn by turn
contract  the contract as JSON Schema, or its flat fields as a table
model     the model, the response format and the sampling settings
bench     the dataset and row that it is looked at with, and the prompt rendered for it
tryout    a run of kind try on a few rows, its replies streaming in
saving    the dialog that shows what a save changes
history   saved versions, diffs between any two, the label and the folder
"""
