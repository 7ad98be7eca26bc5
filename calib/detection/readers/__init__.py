"""Boxes out of files and of the outputs of detection frameworks.

    adapters     `read_detections`, `read_ground_truth`, `with_new_scores`
    frameworks   where each framework keeps boxes
    coco         files of detections; coco_annotations: of annotations
    coco_output  `rescored_coco`, `write_coco_detections`
    json         files, plain or gzip; json_columns: rows as columns

Public names are imported from `calib.detection`.
"""
